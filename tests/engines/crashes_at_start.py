import sys

print("starting", flush=True)
print('FATAL:  unrecognized configuration parameter "no_such_setting"', file=sys.stderr, flush=True)
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
