"""The figures that the console and the report share: without a browser, without Streamlit."""
