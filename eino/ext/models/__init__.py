"""Chat models of providers, one module each: nothing is imported before it is named."""
