"""Studio, `gan-style studio`: a web page of this machine that translates pictures and shows runs."""
