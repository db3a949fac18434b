"""The HTTP side: feeds, status and metrics for machines (`api`), pages for people (`console`)."""
