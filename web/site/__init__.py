"""The pages of buyers: plans, checkout and account, over the same API as any other front end."""
