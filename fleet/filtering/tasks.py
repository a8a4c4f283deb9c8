"""What happens later in filtering."""
