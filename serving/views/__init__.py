"""What the console and the report both show: words, tiles, tables and charts; no Streamlit."""
