"""Coders: integers and bytes. One file and one line in `midtread.registry.CODERS` each."""
