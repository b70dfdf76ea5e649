"""Load tests: the target that is driven, what is measured, the report."""
