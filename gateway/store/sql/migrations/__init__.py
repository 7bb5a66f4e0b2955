"""migrations: one file a step, in the order of their numbers. What has been released is never changed."""
