"""Picture codecs of midtread's own."""
