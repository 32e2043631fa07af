"""How long JellyML takes, beside what one would do without it. ``make bench`` runs it."""
