"""What every command does at its terminal: output, progress, failures, interruption."""
