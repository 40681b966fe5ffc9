"""What is made of the command tree: completions, man pages, and the tables of the documents."""
