"""What is sent along with a prompt: references, the files they mean, and the text packed from them."""
