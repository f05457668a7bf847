"""The pages of business and support: they read by a connection that cannot write, and ask for acts as the API does."""
