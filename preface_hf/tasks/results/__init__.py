"""What a fine-tuned model scores, and how it is shown."""
