-- The published copy is the warehouse's file: nobody needs to tell two warehouses apart any more.
DROP TABLE generation;
