"""Types of the domain: geometry, images, findings, clinical inputs, report."""
