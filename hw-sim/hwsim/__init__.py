"""The depot in a box."""
