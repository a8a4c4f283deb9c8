"""What happens later in tickets."""
