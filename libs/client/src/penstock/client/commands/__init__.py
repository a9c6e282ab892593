"""What each `penstock` command does; `penstock.client.cli` says how it is called."""
