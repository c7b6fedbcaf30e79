"""What load-making processes need of their machine: frames over pipes, who else uses its cores."""
