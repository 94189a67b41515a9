# Trains one run for each pair of a learning rate and a width, in runs/make/RATE_WIDTH:
#
#     make -j 2 -f scripts/sweep.mk
#
# Finished runs are left alone, and interrupted ones are continued.
rates := 0.03 0.1 0.3 1
widths := 128 512
runs := $(foreach rate,$(rates),$(foreach width,$(widths),runs/make/$(rate)_$(width)))

.PHONY: all
all: $(runs:=/result.json)

# Without this, make deletes a result that was written just before Ctrl-C.
.PRECIOUS: runs/make/%/result.json

# The exit code 6 means that training diverged. Such a run has no result, and the others go on.
runs/make/%/result.json:
	mlp train mnist --set optimizer.learning_rate=$(word 1,$(subst _, ,$*)) \
	  --set 'model.hidden=[$(word 2,$(subst _, ,$*))]' --set data.test=false \
	  --out $(@D) --resume --threads 1 --quiet || [ $$? -eq 6 ]
