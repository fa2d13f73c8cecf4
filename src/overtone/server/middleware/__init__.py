"""What every connection and request goes through."""
