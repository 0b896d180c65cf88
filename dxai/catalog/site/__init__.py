"""The catalog as a web site: static, bilingual, and able to predict inside the browser."""
