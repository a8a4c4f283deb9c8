"""What happens later in accounts."""
