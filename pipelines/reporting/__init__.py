"""What people read: health, alerts, and the HTML report."""
