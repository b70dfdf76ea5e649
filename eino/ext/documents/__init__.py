"""Documents: loaders, parsers, splitters and rerankers; one module each."""
