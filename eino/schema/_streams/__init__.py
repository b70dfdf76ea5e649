"""What streams are made of: sources that are pulled, channels that are pushed into, pumps between them."""
