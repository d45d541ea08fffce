"""The console: what marketers see in a browser. Streamlit draws; `serving.crowd` computes."""
