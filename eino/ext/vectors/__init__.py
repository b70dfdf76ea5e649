"""Vector stores: indexers and retrievers in one, in memory and in an SQLite file. Needs the extra `vectors`."""
