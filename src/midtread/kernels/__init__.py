"""Hot loops, compiled with numba, each beside a slow twin that is its definition. Imported only when used."""
