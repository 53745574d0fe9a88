"""Real latents to integer symbols and back."""
