"""What the quality benchmark is made of: days of vehicles, a yard they charge in, and the rules they are shared out by."""
