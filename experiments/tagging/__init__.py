"""Autotagging (§5.2): Table 4 and Figure 3 share one experiment."""
