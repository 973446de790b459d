"""Search: text -> tree (grammar), keys and operators per entity (schemas), what it means (evaluate), pages (paging)."""
