"""What people look at: pages, sheets and charts of what was measured, and how fast whole files are done."""
