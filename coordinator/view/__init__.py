"""What a person sees.  Everything here maps one immutable value to text; nothing asks for more."""
