"""The sub-pixel autoencoder for 28×28 grey pictures: network, training, reconstruction."""
