"""What a pretraining run would cost."""
