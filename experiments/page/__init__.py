"""What the report is made of: elements of HTML, and what it says of each result."""
