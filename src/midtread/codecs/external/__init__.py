"""Other people's codecs behind the one interface, one file each."""
