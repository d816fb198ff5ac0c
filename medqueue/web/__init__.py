"""The web: one HTTP server, composed of the routes of doors and results, and the pages."""
