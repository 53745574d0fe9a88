"""Any transform x quantizer x model x coder as one codec."""
