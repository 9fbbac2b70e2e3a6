"""The server of exported models. Nothing here needs torch."""
