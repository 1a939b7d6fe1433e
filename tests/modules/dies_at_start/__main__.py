raise SystemExit("the licence server is down")
