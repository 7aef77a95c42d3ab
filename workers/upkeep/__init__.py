"""What a deployment's owner runs now and then: sweeping up, and checking that nothing was altered."""
