"""What people are told: health, alerts, and the HTML report."""
