"""The curricula that come with xworld, each by the rule that decides what is trained on."""
