"""A site's acceptance test: a phantom through the deployment as any slide goes, and what came back beside the truth."""
