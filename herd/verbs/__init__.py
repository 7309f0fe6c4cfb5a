"""What a person does with a herd between deploys; most verbs take the chosen hosts, connected."""
