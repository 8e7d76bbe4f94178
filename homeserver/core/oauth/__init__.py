"""The rules of OAuth 2.0, as Matrix uses it: values in, values out."""
