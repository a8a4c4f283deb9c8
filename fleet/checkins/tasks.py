"""What happens later in checkins."""
